"""Methods and scenarios in tables and figures: their order, and the names by which papers know them.

The hypernetworks come first, then their rivals, by name, and the bounds last: fine-tuning below, joint training and
training from scratch above.
"""

FAMILY = ("hnet", "hnet_ent", "hnet_tir", "hnet_r", "hint", "hypermask", "hnet_posterior", "h_embedding")
BOUNDS = ("finetune", "joint", "scratch")
NAMES = {
    "hnet": "HNET",
    "hnet_ent": "HNET+ENT",
    "hnet_tir": "HNET+TIR",
    "hnet_r": "HNET+R",
    "hint": "HINT",
    "hypermask": "HyperMask",
    "hnet_posterior": "Posterior replay",
    "h_embedding": "H-embedding",
    "agem": "A-GEM",
    "derpp": "DER++",
    "dgr": "DGR",
    "er": "ER",
    "er_ace": "ER-ACE",
    "ewc": "EWC",
    "ewc_offline": "EWC (offline)",
    "gdumb": "GDumb",
    "generative_classifier": "Generative classifier",
    "gpm": "GPM",
    "hat": "HAT",
    "icarl": "iCaRL",
    "lwf": "LwF",
    "mas": "MAS",
    "owm": "OWM",
    "packnet": "PackNet",
    "ranpac": "RanPAC",
    "si": "SI",
    "simple_cil": "SimpleCIL",
    "supsup": "SupSup",
    "wsn": "WSN",
    "xdg": "XdG",
    "finetune": "Fine-tuning",
    "joint": "Joint",
    "scratch": "From scratch",
}
SCENARIOS = {"cl1": "task-incremental", "cl2": "domain-incremental", "cl3": "class-incremental"}
OF_KEYS = {"method": NAMES, "scenario": SCENARIOS}


def place(method: str) -> tuple[int, int]:
    """Returns a sort key for a method; rivals, and methods of one's own, share one and are sorted by name."""
    if method in FAMILY:
        return 0, FAMILY.index(method)
    return (2, BOUNDS.index(method)) if method in BOUNDS else (1, 0)


def named(key: str, value: str) -> str:
    """Returns the value of a key as a paper would write it: methods and scenarios by their names, all else as it is."""
    return OF_KEYS.get(key, {}).get(value, value)
