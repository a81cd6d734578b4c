"""`python -m hnet_cl.predict run=FOLDER input=PATH`."""

from hnet_cl import address_space

if __name__ == "__main__":
    address_space.require("hnet_cl.predict")
    from hnet_cl.predict.cli import main

    main()
