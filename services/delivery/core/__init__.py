"""Decisions of delivery: pure, without transport or clock."""
