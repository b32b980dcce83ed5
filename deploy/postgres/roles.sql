-- A role for each service, which owns that service's schema and has no right in another's. For a superuser, in Crosspoint's database.
-- It may run at any time, and again: what is right stays as it is. What another role owns in these schemas is handed over; the role
-- `crosspoint`, which owned everything once, signs in no more. Passwords are not its business.
DO $$
DECLARE
    service text;
    holder text;
    thing record;
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    FOREACH service IN ARRAY
        ARRAY['auth', 'obs_bridge', 'stream_metrics', 'radio_playout', 'camera_events', 'performance_monitor']
    LOOP
        holder := 'crosspoint_' || service;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = holder) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', holder);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), holder);
        IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = service) THEN
            EXECUTE format('CREATE SCHEMA %I AUTHORIZATION %I', service, holder);
        ELSIF (SELECT nspowner::regrole <> holder::regrole FROM pg_namespace WHERE nspname = service) THEN
            EXECUTE format('ALTER SCHEMA %I OWNER TO %I', service, holder);
        END IF;
        FOR thing IN
            -- Tables take their indexes and the sequences of their columns along.
            SELECT format('ALTER TABLE %s', c.oid::regclass) AS change
            FROM pg_class c
            WHERE c.relnamespace = service::regnamespace AND c.relowner <> holder::regrole
                AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
                AND NOT EXISTS (
                    SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))
            UNION ALL
            SELECT format('ALTER ROUTINE %s', p.oid::regprocedure)
            FROM pg_proc p WHERE p.pronamespace = service::regnamespace AND p.proowner <> holder::regrole
            UNION ALL
            -- Not those that come with a table, nor the arrays of others.
            SELECT format('ALTER TYPE %s', t.oid::regtype)
            FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
            WHERE t.typnamespace = service::regnamespace AND t.typowner <> holder::regrole
                AND t.typtype IN ('c', 'd', 'e', 'r') AND coalesce(c.relkind = 'c', true)
        LOOP
            EXECUTE thing.change || format(' OWNER TO %I', holder);
        END LOOP;
    END LOOP;
    IF current_user <> 'crosspoint' AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'crosspoint') THEN
        EXECUTE format('ALTER DATABASE %I OWNER TO CURRENT_USER', current_database());
        ALTER ROLE crosspoint NOLOGIN;
    END IF;
END
$$;
