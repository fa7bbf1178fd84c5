-- The lease (its fence) under which the link came to point to another file: what that lease says of it is about the former
-- one.
ALTER TABLE variant_sources ADD COLUMN replaced_fence INTEGER;
