-- What runs last did with an instance's power: who finds it stopped asks whether a run owes it the start.
CREATE INDEX run_event_power ON run_event ((detail ->> 'server'), at) WHERE kind = 'power';
