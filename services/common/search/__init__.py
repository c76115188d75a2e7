"""Searching archived mail: how text becomes words, how a question is written, how both become blind.

| module | what |
|---|---|
| `words.py` | the normal form of text, and its words with their positions |
| `query.py` | the language of questions: one parser, one tree |
| `blind.py` | keyed tokens: what the index stores in place of a word |

The side that indexes and the side that asks must agree to the letter, so all of it is here, pure.
"""
