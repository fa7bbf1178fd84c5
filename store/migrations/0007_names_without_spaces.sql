-- Search finds names in scripts that are written without spaces by any part of them: folding parts their signs now.
-- `fold` is core/folding.
UPDATE titles SET name_folded = fold(name) WHERE name_folded <> fold(name);
