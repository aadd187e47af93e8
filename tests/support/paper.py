"""Reading what the app prints, as a printer and a scanner would."""

import base64
import io
import re
import zlib
from typing import Any

import pypdfium2
import zxingcpp
from PIL import Image


def picture(content: bytes) -> Image.Image:
    """A picture from its bytes."""
    return Image.open(io.BytesIO(content))


def links_in(image: Image.Image) -> list[str]:
    """What the QR codes in a picture say."""
    return [barcode.text for barcode in zxingcpp.read_barcodes(image)]


def pages_of(pdf: bytes, dpi: int = 150) -> list[Image.Image]:
    """The pages as a printer prints them."""
    document = pypdfium2.PdfDocument(pdf)
    return [page.render(scale=dpi / 72).to_pil() for page in document]


def text_of(pdf: bytes) -> str:
    """All text on the pages, with single spaces."""
    document = pypdfium2.PdfDocument(pdf)
    return " ".join(" ".join(page.get_textpage().get_text_bounded() for page in document).split())


def sizes_of(pdf: bytes) -> list[tuple[float, float]]:
    """The width and height of each page, in points of 1/72 inch."""
    return [page.get_size() for page in pypdfium2.PdfDocument(pdf)]


def metadata_of(pdf: bytes) -> dict[str, str]:
    """What the document says of itself."""
    return pypdfium2.PdfDocument(pdf).get_metadata_dict()


def marks_of(pdf: bytes) -> list[tuple[int, tuple[float, float, float, float]]]:
    """Page number and bounds (left, bottom, right, top, in points) of each piece of text and each drawing."""
    document = pypdfium2.PdfDocument(pdf)
    marks: list[tuple[int, Any]] = []
    for number, page in enumerate(document):
        marks += [(number, piece.get_bounds()) for piece in page.get_objects()]
    return marks


def undrawn_of(pdf: bytes) -> int:
    """How often a page shows the glyph that fonts have for what they lack: in those of reportlab it is number 0."""
    strings = re.findall(rb"\((?:\\.|[^\\()])*\)", b"".join(_contents_of(pdf)), re.DOTALL)
    return sum(re.findall(rb"\\\d{3}|\\.|[^\\]", string, re.DOTALL).count(b"\\000") for string in strings)


def readings_of(pdf: bytes) -> list[str]:
    """What pages say is to be read where glyphs don't tell it, in the order of drawing."""
    written = re.findall(rb"/ActualText <([0-9a-f]+)>", b"".join(_contents_of(pdf)))
    return [bytes.fromhex(text.decode()).decode("utf-16") for text in written]


def _contents_of(pdf: bytes) -> list[bytes]:
    """The programs that draw the pages."""
    streams = re.findall(
        rb"/Filter \[ /ASCII85Decode /FlateDecode \][^>]*>>\s*stream\r?\n(.*?)endstream", pdf, re.DOTALL
    )
    contents = [zlib.decompress(base64.a85decode(b"<~" + stream.strip(), adobe=True)) for stream in streams]
    return [content for content in contents if b" Tj" in content or b"] TJ" in content]
