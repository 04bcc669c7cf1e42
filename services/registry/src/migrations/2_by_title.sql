CREATE INDEX registry_stations_by_title ON registry_stations (title, area);
