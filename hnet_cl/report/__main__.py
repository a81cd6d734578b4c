"""`python -m hnet_cl.report outputs/...`"""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the working directory, where a module `yaml` may lie beside a stranger's runs
    from hnet_cl.report.cli import main

    main()
