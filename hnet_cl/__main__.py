"""`python -m hnet_cl`."""

from hnet_cl import address_space

if __name__ == "__main__":
    address_space.require("hnet_cl")
    from hnet_cl.app import main

    main()
