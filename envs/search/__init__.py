"""Multi-hop question answering over a search index."""
