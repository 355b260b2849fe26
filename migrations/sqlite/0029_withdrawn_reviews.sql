-- A review that was recorded by mistake is withdrawn (R44): its row stays, says by whom and why, and counts no longer.
ALTER TABLE review ADD COLUMN withdrawn_at INTEGER;
ALTER TABLE review ADD COLUMN withdrawn_by TEXT;
ALTER TABLE review ADD COLUMN withdraw_reason TEXT;
