"""The conformance corpus: every detector's values, disguised, in every carrier."""
