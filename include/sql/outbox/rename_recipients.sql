-- Put addresses into the spelling that all messages and suppressions have.
-- Parameters: recipients, spellings (of each of them).
update outgoing as o
set recipient = s.spelling
from unnest(%(recipients)s::text[], %(spellings)s::text[]) as s (recipient, spelling)
where o.recipient = s.recipient
