"""Reading data sets, decoding, augmenting, loading. Knows no network and touches no accelerator."""
