"""PocketSphinx as the engine of the offline service: US English, trained offline from text, pronunciations and audio."""
