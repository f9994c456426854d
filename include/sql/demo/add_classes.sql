-- Classes, and one of them for every fourth account: some are in it rightly and others are to move.
-- No parameters.
insert into crm.account_class (name) values ('Bronze'), ('Prata'), ('Ouro')
on conflict do nothing;
update crm.account as account
set class_id = class.id
from crm.account_class as class
where mod(account.id, 4) = 0 and class.name = (array['Bronze', 'Prata', 'Ouro'])[1 + mod(account.id / 4, 3)];
