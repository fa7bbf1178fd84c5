-- Links to files have a host that has a name: one that is parked can be seen, and tried again. Where 0003 has run just now,
-- it has given them one, and what is called '' are malformed links.
UPDATE OR IGNORE hosts SET name = 'file:' WHERE name = '';
