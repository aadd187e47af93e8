"""Writing the roll-up: days that are counted from the rows, and what happened since added to them.

`update` is the job: it counts what is new, and some of the days that are missing. `rebuild` counts days anew, whatever
the roll-up has of them. Both may run beside each other, beside themselves, and beside everything else: each of their
transactions locks the one row of FiguresState, and a visit reads the roll-up as it is between two of them.
"""

from .active_days import note_erased_sign_in as note_erased_sign_in
from .jobs import days_to_rebuild as days_to_rebuild
from .jobs import first_day as first_day
from .jobs import rebuild as rebuild
from .jobs import update as update
from .owners import forget_owners as forget_owners
