"""The blind content index: what of a mail's text can be found, without a word in the index."""
