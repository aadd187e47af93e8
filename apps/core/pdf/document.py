"""Pages as PDF: text, boxes, lines and squares at places in millimetres."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Final

from django.conf import settings
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from .composition import Line, Run
from .fonts import REGULAR, forget_subsets, one_at_a_time
from .text import fitted, line_height, wrapped

INK: Final = HexColor(0x1B2433)
SOFT: Final = HexColor(0x5B6677)
FAINT: Final = HexColor(0xA9B2C0)
RULE: Final = HexColor(0xD5DBE4)
TINT: Final = HexColor(0xF2F5F9)
ACCENT: Final = HexColor(0x1F4E79)
ALERT: Final = HexColor(0xB3261E)
WHITE: Final = white

A4: Final = (210.0, 297.0)
A5_LANDSCAPE: Final = (210.0, 148.0)
LETTER: Final = (215.9, 279.4)


@contextmanager
def new_document(size: tuple[float, float], *, title: str, author: str = "") -> "Iterator[PdfDocument]":
    """A new document with pages of (width, height) in millimetres. One is drawn at a time; the others wait.

    Its author is the shop, unless there is another.
    """
    with one_at_a_time:
        try:
            yield PdfDocument(size, title, author or settings.SHOP_NAME)
        finally:
            forget_subsets()


class PdfDocument:
    """Pages to draw on. Places are millimetres from the left and from the top; sizes of type are points.

    The same drawing gives the same bytes: no time and no random id is in them.
    """

    def __init__(self, size: tuple[float, float], title: str, author: str) -> None:
        self.width, self.height = size
        self._file = BytesIO()
        self._canvas = Canvas(
            self._file, (self.width * mm, self.height * mm), invariant=1, pageCompression=1, lang="en"
        )
        self._canvas.setTitle(title)
        self._canvas.setAuthor(author)
        self._canvas.setSubject(title)

    def pdf(self) -> bytes:
        """The finished document; nothing can be drawn after it."""
        self._canvas.showPage()
        self._canvas.save()
        return self._file.getvalue()

    def next_page(self) -> None:
        """Go on with an empty page."""
        self._canvas.showPage()

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        face: str = REGULAR,
        size: float = 10,
        colour: Color = INK,
        align: str = "left",
        width: float = 1000,
        spacing: float = 0,
    ) -> float:
        """One line with its baseline at `y`, cut with … where it is wider than `width`; its width in mm."""
        (line,) = wrapped(text, face=face, size=size, width=width, max_lines=1) or [Line((Run("", face),))]
        if line.is_shaped:
            spacing = 0
        wide = line.width(size) + max(0, len(str(line)) - 1) * spacing
        left = x - {"left": 0, "centre": wide / 2, "right": wide}[align]
        self._canvas.setFillColor(colour)
        self._draw(left, y, line, size, spacing)
        return wide

    def paragraph(
        self,
        x: float,
        y: float,
        text: str,
        *,
        width: float,
        max_lines: int,
        face: str = REGULAR,
        sizes: Sequence[float] = (10,),
        colour: Color = INK,
        align: str = "left",
        height: float = 1000,
    ) -> float:
        """Lines below `y`, at the first of `sizes` in which `max_lines` lines and `height` mm hold them.

        Returns where the next may begin.
        """
        lines, size = fitted(text, face=face, sizes=sizes, width=width, max_lines=max_lines, height=height)
        step = line_height(size)
        self._canvas.setFillColor(colour)
        for number, line in enumerate(lines):
            left = x - {"left": 0, "centre": line.width(size) / 2, "right": line.width(size)}[align]
            self._draw(left, y + number * step + step * 0.78, line, size)
        return y + len(lines) * step

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: Color | None = None,
        line: Color | None = None,
        thick: float = 0.25,
        radius: float = 0,
    ) -> None:
        """A rectangle with its top left corner at (x, y)."""
        if fill is not None:
            self._canvas.setFillColor(fill)
        if line is not None:
            self._canvas.setStrokeColor(line)
            self._canvas.setLineWidth(thick * mm)
        self._canvas.roundRect(
            x * mm,
            self._up(y + height),
            width * mm,
            height * mm,
            radius * mm,
            stroke=int(line is not None),
            fill=int(fill is not None),
        )

    def line(
        self,
        x: float,
        y: float,
        to_x: float,
        to_y: float,
        *,
        colour: Color = RULE,
        thick: float = 0.25,
        dashed: bool = False,
    ) -> None:
        """A straight line."""
        self._canvas.setStrokeColor(colour)
        self._canvas.setLineWidth(thick * mm)
        self._canvas.setDash([1.2 * mm, 1.2 * mm] if dashed else [])
        self._canvas.line(x * mm, self._up(y), to_x * mm, self._up(to_y))
        self._canvas.setDash([])

    def picture(self, x: float, y: float, width: float, height: float, path: Path) -> None:
        """A PNG or JPEG as large as fits into this box, at its right. Raises OSError for what is none."""
        self._canvas.drawImage(
            str(path),
            x * mm,
            self._up(y + height),
            width * mm,
            height * mm,
            mask="auto",
            preserveAspectRatio=True,
            anchor="e",
        )

    def matrix(self, x: float, y: float, side: float, rows: Sequence[Sequence[bool]]) -> None:
        """A square of `side` mm of black and white squares, such as a QR code."""
        self.box(x, y, side, side, fill=WHITE)
        step = side * mm / len(rows)
        top = self._up(y)
        path = self._canvas.beginPath()
        for row, cells in enumerate(rows):
            for start, length in _runs(cells):
                # A hair taller than the row, or viewers show a light seam between rows.
                path.rect(
                    x * mm + start * step, top - (row + 1) * step - 0.02 * step, length * step, 1.02 * step
                )
        self._canvas.setFillColor(Color(0, 0, 0))
        self._canvas.drawPath(path, stroke=0, fill=1)

    def _draw(self, x: float, y: float, line: Line, size: float, spacing: float = 0) -> None:
        for run in line.runs:
            self._canvas.setFont(run.font, size)
            if run.reading:  # what is read where this is copied: its glyphs don't say
                text = ("\ufeff" + run.reading).encode("utf-16-be").hex()
                self._canvas.addLiteral(f"/Span <</ActualText <{text}>>> BDC")
            self._canvas.drawString(x * mm, self._up(y), run.glyphs, charSpace=spacing * mm)
            if run.reading:
                self._canvas.addLiteral("EMC")
            x += run.width(size)

    def _up(self, y: float) -> float:
        return (self.height - y) * float(mm)


def _runs(cells: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """(start, length) of each stretch of dark cells."""
    start = None
    for index, dark in enumerate([*cells, False]):
        if dark and start is None:
            start = index
        elif not dark and start is not None:
            yield start, index - start
            start = None
