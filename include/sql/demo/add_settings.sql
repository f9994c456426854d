-- Integrations, who the logins of the demonstration are, and who gets the summaries. No parameters.
insert into crm.integration (code, name, active)
values ('erp', 'ERP', true), ('health_plan', 'Gestão de planos de saúde', false)
on conflict do nothing;
insert into crm.app_user (login, name, email)
values ('admin', 'Administração', 'admin@example.com'),
('op', 'Operação', 'op@example.com'),
('user', 'Usuário', 'user@example.com'),
('viewer', 'Consulta', 'viewer@example.com')
on conflict do nothing;
insert into crm.routine_recipient (routine, email) values ('*', 'operacao@example.com')
on conflict do nothing;
