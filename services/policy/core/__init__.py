"""Reading mail, reading policy, and the decision itself: plain values in, plain values out."""
