"""The server: a caching proxy, an admin API and a dashboard. Needs the extra `server`."""
