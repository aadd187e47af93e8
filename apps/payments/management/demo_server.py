"""The web process of the demo: Django's `runserver`, which ends with the command that started it, however that ended.

`python -m apps.payments.management.demo_server FD HOST:PORT`: a process of its own, which imports the application only
in `manage.py`, so that `runserver` outlives a file with a mistake in it and waits for the next edit.
"""

import os
import runpy
import signal
import sys
import threading


def main(pipe: int, address: str) -> None:
    """Serve at "HOST:PORT" until a signal, an edit (exit status 3, as Django's reloader has it), or the pipe's end.

    `pipe` is the descriptor of a pipe whose other end only the command holds.
    """
    threading.Thread(target=_end_with_pipe, args=(pipe,), daemon=True).start()
    sys.argv = ["manage.py", "runserver", address]
    try:
        runpy.run_path("manage.py", run_name="__main__")
    except KeyboardInterrupt:  # before the server has a handler of its own
        pass
    finally:
        # It ends now, once a mail that is being sent has gone: another signal would only print a traceback.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _end_with_pipe(pipe: int) -> None:
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
