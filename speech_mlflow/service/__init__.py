"""The client of the Speech to text REST API."""
