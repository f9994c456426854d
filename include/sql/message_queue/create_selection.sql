-- The messages that an operator action may still change; it takes out those that it changed. No parameters.
create temp table selected_message (
    id bigint primary key,
    gateway_id bigint not null,
    priority bigint not null,
    position bigint
) on commit drop
