-- What every definition counts from: the cases as they were known at the instant `known_at`, and who else was reached.
-- A case is what its last message says; whoever was withdrawn does not count, unless a later correction says that they do.
CREATE OR REPLACE TEMP TABLE known_message AS
SELECT aggregate_id, aggregate_version, occurred_at, facts, NULL AS steps, false AS withdrawn FROM CaseReported
UNION ALL BY NAME
SELECT aggregate_id, aggregate_version, occurred_at, facts, false AS withdrawn FROM CaseCorrected
UNION ALL BY NAME
SELECT aggregate_id, aggregate_version, occurred_at, true AS withdrawn FROM CaseWithdrawn
UNION ALL BY NAME
SELECT aggregate_id, aggregate_version, occurred_at, steps FROM CaseFollowed;
DELETE FROM known_message WHERE occurred_at > getvariable('known_at');

-- One row for each case that counts. `level`, `factors`: a value of a newer contract is OTHER. `delay`: see the catalogue.
CREATE OR REPLACE TEMP TABLE known_case AS
WITH folded AS (
    SELECT
        aggregate_id AS case_id,
        min(occurred_at) AS reported_at,
        arg_max(facts, aggregate_version) FILTER (WHERE facts IS NOT NULL) AS facts,
        arg_max(steps, aggregate_version) FILTER (WHERE steps IS NOT NULL) AS steps,
        arg_max(withdrawn, aggregate_version) FILTER (WHERE withdrawn IS NOT NULL) AS withdrawn
    FROM known_message GROUP BY aggregate_id
), told AS (
    SELECT
        case_id,
        facts.left_month AS left_month,
        facts.commune_code AS commune_code,
        facts.geography_year AS geography_year,
        facts.level_left AS level_left,
        facts.school_uai AS school_uai,
        facts.factors AS factors,
        COALESCE(steps, []) AS steps,
        CAST(timezone('Europe/Paris', reported_at) AS DATE) AS reported_on
    FROM folded WHERE NOT withdrawn AND facts IS NOT NULL
), walked AS (
    SELECT
        *,
        list_min([one.happened_on FOR one IN steps IF one.kind = 'OFFERED']) AS offered_on,
        list_min([one.happened_on FOR one IN steps IF one.kind = 'ENDED']) AS ended_on,
        [one.kind FOR one IN steps] AS kinds
    FROM told
), looked AS (
    SELECT *, greatest(0, date_diff('day', reported_on, COALESCE(offered_on, ended_on, getvariable('known_on')))) // 7 AS weeks
    FROM walked
)
SELECT
    case_id, left_month, reported_on, commune_code, geography_year, school_uai, factors, steps,
    CASE WHEN month(left_month) >= 9 THEN year(left_month) ELSE year(left_month) - 1 END AS school_year_begins,
    concat(school_year_begins, '-', school_year_begins + 1) AS school_year,
    strftime(left_month, '%m') AS month,
    if(level_left = 'UNKNOWN', 'OTHER', level_left) AS level,
    CASE
        WHEN list_contains(kinds, 'ENDED') THEN 'ended'
        WHEN list_has_any(kinds, ['ADMITTED', 'CHECKED_AT_3_MONTHS', 'CHECKED_AT_6_MONTHS']) THEN 'admitted'
        WHEN list_contains(kinds, 'OFFERED') THEN 'offered'
        WHEN list_contains(kinds, 'ACCOMPANIED') THEN 'accompanied'
        ELSE 'reported'
    END AS path,
    concat(
        if(offered_on IS NULL, 'without', 'offered'), ':',
        CASE
            WHEN weeks < 2 THEN '0-2' WHEN weeks < 4 THEN '2-4' WHEN weeks < 8 THEN '4-8'
            WHEN weeks < 13 THEN '8-13' WHEN weeks < 26 THEN '13-26' ELSE '26+'
        END
    ) AS delay,
    COALESCE(list_last([one.presence FOR one IN steps IF one.kind = 'CHECKED_AT_3_MONTHS']), 'NOT_ASKED') AS presence,
    COALESCE(list_last([one.presence FOR one IN steps IF one.kind = 'CHECKED_AT_6_MONTHS']), 'NOT_ASKED') AS presence_6,
    COALESCE(list_last([one.outcome FOR one IN steps IF one.kind = 'ENDED']), 'OPEN') AS outcome,
    len([one FOR one IN steps IF one.source NOT IN ('PROFESSIONAL', 'UNKNOWN')]) > 0 AS linked
FROM looked;
