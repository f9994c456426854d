-- The persons to greet for a day, in a temp table: who has the greeting of that birthday already, and who
-- gets none and why. Of the accounts of one address one is greeted: that which has its greeting already, in
-- the audience or not (so that two runs with two audiences do not greet it twice), else the lowest that can
-- be rendered. A greeting that was written and never sent is named.
-- Parameters: birthdays (of the day: month * 100 + day), business_date and its year, audience_id (empty: all
-- accounts), too_late (whether the day is over for good), unicode_emails and spellings (of each of them).
create temp table birthday on commit drop as
with born as materialized (
    select
        a.id as account_id,
        a.name,
        a.birth_on,
        coalesce(u.spelling, nullif(lower(trim(a.email)), '')) as email,
        %(audience_id)s::bigint is null
        or exists (
            select from audience_member as m
            where m.audience_id = %(audience_id)s and m.account_id = a.id
        ) as wanted,
        'birthday:' || a.id || ':' || %(year)s as dedupe_key
    from crm.account as a
    left join unnest(%(unicode_emails)s::text[], %(spellings)s::text[]) as u (email, spelling)
        on a.email = u.email
    where
        (extract(month from a.birth_on) * 100 + extract(day from a.birth_on))::integer
        = any(%(birthdays)s::integer[])
        and a.kind = 'person'
        and a.active
        and a.birth_on < %(business_date)s::date
        -- Python knows no dates before Christ.
        and a.birth_on >= date '0001-01-01'
),

-- The addresses that were greeted for that day, by accounts that may be inactive or another person's by now.
greeted as materialized (
    select
        m.recipient,
        min(m.account_id) as account_id
    from crm.run as r
    inner join crm.message as m on r.id = m.run_id
    where
        r.routine = 'birthday_emails'
        and r.business_date = %(business_date)s::date
        and m.origin = 'birthday_emails'
    group by m.recipient
),

keyed as (
    select
        b.*,
        g.account_id as address_greeted_id,
        case
            when s.reason = 'hard_bounce' then 'no_such_address'
            when s.address is not null then 'opted_out'
        end as suppressed,
        -- One by one: the cost does not grow with the keys ever written.
        (select k.message_id from crm.message_key as k where k.dedupe_key = b.dedupe_key) as message_id
    from born as b
    left join greeted as g on b.email = g.recipient
    left join crm.suppression as s on s.channel = 'email' and b.email = s.address
),

ranked as (
    select
        *,
        message_id is not null as written,
        (
            select
                case m.status
                    when 'expired' then 'expirada'
                    when 'failed' then 'falhou'
                    when 'cancelled' then 'cancelada'
                end
            from crm.message as m
            where m.id = k.message_id
        ) as not_sent,
        coalesce(
            address_greeted_id,
            first_value(account_id) over (
                partition by email
                order by (message_id is not null) desc, wanted desc, account_id asc
            )
        ) as greeted_id,
        address_greeted_id is not null or bool_or(message_id is not null) over (partition by email)
            as address_written
    from keyed as k
)

select
    account_id,
    name,
    birth_on,
    email,
    dedupe_key,
    written,
    case
        when not_sent is not null then 'written_not_sent'
        when written then null
        when %(too_late)s then 'too_late'
        when suppressed is not null then suppressed
        when email is not null and account_id <> greeted_id then 'same_address'
    end as reason,
    greeted_id,
    -- Whether it is greeted for its address when none before it can be rendered.
    email is not null and not address_written as in_line,
    'mensagem ' || message_id || ': ' || not_sent as detail
from ranked
where wanted
