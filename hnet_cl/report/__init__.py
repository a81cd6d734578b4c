"""What run folders say together: tables, plots and a page. Reads files only; needs neither torch nor Hydra."""
