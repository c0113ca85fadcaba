"""One job over many machines, on Ray: shares of the photos, each a run, and one table of all."""
