drop schema if exists fleet cascade;
