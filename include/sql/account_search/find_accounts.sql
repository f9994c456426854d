-- The accounts that a text may mean, the surest first. Each branch reads one index and stops; one that is not
-- asked for (NULL) is not read at all.
-- Parameters: number (an id, ours or the ERP's), and patterns of LIKE: document (letters and digits), email,
-- phone (digits, the last one first), name; most (rows).
with matched as (
    (
        select
            id,
            1 as place,
            'id' as matched
        from crm.account
        where id = %(number)s::bigint
    )
    union all
    (
        select
            id,
            2,
            'customer'
        from crm.account
        where erp_customer_id = %(number)s::bigint
    )
    union all
    (
        select
            id,
            3,
            'document'
        from crm.account
        where upper(regexp_replace(document, '[^0-9A-Za-z]', '', 'g')) collate "C" like %(document)s::text
        order by upper(regexp_replace(document, '[^0-9A-Za-z]', '', 'g')) collate "C"
        limit %(most)s
    )
    union all
    (
        select
            id,
            4,
            'phone'
        from crm.account
        where reverse(regexp_replace(phone, '[^0-9]', '', 'g')) collate "C" like %(phone)s::text
        order by reverse(regexp_replace(phone, '[^0-9]', '', 'g')) collate "C"
        limit %(most)s
    )
    union all
    (
        select
            id,
            6,
            'email'
        from crm.account
        where lower(email) collate "C" like lower(%(email)s::text)
        order by lower(email) collate "C"
        limit %(most)s
    )
    union all
    (
        select
            id,
            5,
            'name'
        from crm.account
        where crm.unaccented(name) collate "C" like crm.unaccented(%(name)s::text)
        order by crm.unaccented(name) collate "C"
        limit %(most)s
    )
),

chosen as (
    select distinct on (id)
        id,
        place,
        matched
    from matched
    order by id, place
)

select
    a.id,
    a.kind,
    a.name,
    a.document,
    a.email,
    a.phone,
    a.active,
    a.status,
    a.owner_login,
    c.name as class_name,
    f.matched
from chosen as f
inner join crm.account as a on f.id = a.id
left join crm.account_class as c on a.class_id = c.id
order by f.place, crm.unaccented(a.name) collate "C", a.id
limit %(most)s
