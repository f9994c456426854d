-- The categories of the products. No parameters.
insert into erp.product_category (sku, level, category_code, category_name)
select
    product.sku,
    category.level,
    category.code,
    category.name
from (
    values ('1001', 'CASA', 'COZ'),
    ('1002', 'CASA', 'COZ'),
    ('1003', 'CASA', 'CLI'),
    ('1004', 'TEC', 'AUD'),
    ('1005', 'PAP', 'MOC'),
    ('1006', 'PAP', 'CAD'),
    ('1007', 'CASA', 'COZ'),
    ('1008', 'CASA', 'ILU'),
    ('1009', 'TEC', 'INF'),
    ('1010', 'CASA', 'MOV'),
    ('1011', 'CASA', 'COZ'),
    ('1012', 'CASA', 'BAN')
) as product (sku, department_code, section_code)
inner join (
    values (1, 'CASA', 'Casa'),
    (1, 'TEC', 'Tecnologia'),
    (1, 'PAP', 'Papelaria e mochilas'),
    (2, 'COZ', 'Cozinha'),
    (2, 'CLI', 'Climatização'),
    (2, 'AUD', 'Áudio'),
    (2, 'MOC', 'Mochilas'),
    (2, 'CAD', 'Cadernos'),
    (2, 'ILU', 'Iluminação'),
    (2, 'INF', 'Informática'),
    (2, 'MOV', 'Móveis'),
    (2, 'BAN', 'Banho')
) as category (level, code, name) on category.code in (product.department_code, product.section_code)
