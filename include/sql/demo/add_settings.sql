-- Integrations, who the logins of the demonstration are, and who gets the summaries. No parameters.
insert into crm.integration (code, name, active, settings)
values ('erp', 'ERP', true, '{"months_inactive": 6}'),
('health_plan', 'Gestão de planos de saúde', false, default)
on conflict do nothing;
insert into crm.app_user (login, name, email)
values ('admin', 'Administração', 'admin@example.com'),
('op', 'Operação', 'op@example.com'),
('user', 'Usuário', 'user@example.com'),
('viewer', 'Consulta', 'viewer@example.com')
on conflict do nothing;
insert into crm.routine_recipient (routine, email) values ('*', 'operacao@example.com')
on conflict do nothing;
