-- A team of sales, of whom one left. No parameters.
insert into crm.app_user (login, name, email, active)
values ('vendas1', 'Vendas 1', 'vendas1@example.com', true),
('vendas2', 'Vendas 2', 'vendas2@example.com', true),
('vendas3', 'Vendas 3', 'vendas3@example.com', true),
('vendas4', 'Vendas 4', 'vendas4@example.com', false)
on conflict do nothing;
insert into crm.team (name) values ('Vendas') on conflict do nothing;
insert into crm.team_member (team_id, login)
select
    team.id as team_id,
    app_user.login
from crm.team as team
cross join crm.app_user as app_user
where team.name = 'Vendas' and app_user.login like 'vendas_'
on conflict do nothing;
