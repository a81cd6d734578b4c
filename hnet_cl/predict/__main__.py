"""`python -m hnet_cl.predict run=FOLDER input=PATH`."""

from hnet_cl.predict.cli import main

if __name__ == "__main__":
    main()
