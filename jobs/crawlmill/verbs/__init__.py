"""The shell's verbs: `crawlmill VERB`."""
