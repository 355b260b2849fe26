-- Whose data an account's is, where an admin said so (R30).

ALTER TABLE account ADD COLUMN person_id BLOB REFERENCES person (id);
CREATE INDEX account_person ON account (person_id);
