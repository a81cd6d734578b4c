"""`python -m hnet_cl.predict run=FOLDER input=PATH`."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the working directory, where a module `torch` may lie beside a stranger's run
    from hnet_cl.predict.cli import main

    main()
