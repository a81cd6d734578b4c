"""`python -m hnet_cl`."""

from hnet_cl.app import main

if __name__ == "__main__":
    main()
