-- Further names under which what is a person's is kept (R30): items that bear one are theirs.
CREATE TABLE person_name (
    name        TEXT PRIMARY KEY NOT NULL,
    person_id   UUID NOT NULL REFERENCES person (id),
    -- Who said so.
    added_by    TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX person_name_person ON person_name (person_id);

-- Whose data an account's is by what its provider said last; what an admin said goes before it.
ALTER TABLE account ADD COLUMN claimed_person_id UUID REFERENCES person (id);
CREATE INDEX account_claimed_person ON account (claimed_person_id);
CREATE INDEX item_of_nobody ON item (id) WHERE person_id IS NULL;
