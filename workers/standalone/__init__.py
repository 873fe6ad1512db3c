"""One model served by OpenAI's API on its own: no Flotilla server, one key. The engine is the daemon's own."""
