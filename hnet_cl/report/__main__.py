"""`python -m hnet_cl.report outputs/...`"""

from hnet_cl.report.cli import main

if __name__ == "__main__":
    main()
