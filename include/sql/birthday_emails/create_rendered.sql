-- The e-mails of the day, or why an account's could not be rendered. No parameters.
create temp table rendered (
    account_id bigint not null,
    greeted_id bigint not null,
    payload jsonb,
    problem text
) on commit drop
