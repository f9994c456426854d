-- E-mail addresses with characters beyond ASCII, which may be spelt in another way too. No parameters.
select distinct recipient
from outgoing
where octet_length(recipient) <> length(recipient) and strpos(recipient, '@') > 0
