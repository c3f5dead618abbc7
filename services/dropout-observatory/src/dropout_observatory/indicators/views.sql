-- What every definition counts from: the cases as they were known at the instant `known_at`, and who else was reached.

-- `2026-2027`, from 1 September on.
CREATE OR REPLACE TEMP MACRO school_year_of(day) AS
    concat(year(day) - if(month(day) >= 9, 0, 1), '-', year(day) - if(month(day) >= 9, 0, 1) + 1);

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

-- One row for each case that counts. `level`, `factors`: a value of a newer contract is OTHER. `delay` (see the catalogue) begins when
-- a case was reported, and never before the month in which they left, which may have been corrected since.
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
    SELECT *, greatest(0, date_diff('day', greatest(reported_on, left_month), COALESCE(offered_on, ended_on, getvariable('known_on')))) // 7 AS weeks
    FROM walked
)
SELECT
    case_id, left_month, reported_on, commune_code, geography_year, school_uai, factors, steps,
    school_year_of(left_month) AS school_year,
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

-- What is known of each programme: its last counts, and where its structure was last said to be. Free as the seats service counts
-- them: of a programme that is open, as declared in the thirty days before; what is older is stale, and was never declared is unknown.
CREATE OR REPLACE TEMP TABLE known_programme AS
WITH told AS (
    SELECT aggregate_id, aggregate_version, occurred_at, structure_id, open, seats FROM ProgrammeDescribed
    UNION ALL BY NAME
    SELECT aggregate_id, aggregate_version, occurred_at, seats FROM SeatsDeclared
    UNION ALL BY NAME
    SELECT aggregate_id, aggregate_version, occurred_at, seats FROM SeatHeld
    UNION ALL BY NAME
    SELECT aggregate_id, aggregate_version, occurred_at, seats FROM HoldExtended
    UNION ALL BY NAME
    SELECT aggregate_id, aggregate_version, occurred_at, seats FROM HoldConfirmed
    UNION ALL BY NAME
    SELECT aggregate_id, aggregate_version, occurred_at, seats FROM HoldEnded
    UNION ALL BY NAME
    SELECT aggregate_id, aggregate_version, occurred_at, seats FROM YoungPersonAdmitted
), last AS (
    SELECT
        aggregate_id AS programme_id,
        arg_max(structure_id, aggregate_version) FILTER (WHERE structure_id IS NOT NULL) AS structure_id,
        arg_max(open, aggregate_version) FILTER (WHERE open IS NOT NULL) AS open,
        arg_max(seats, aggregate_version) AS seats
    FROM told WHERE occurred_at <= getvariable('known_at') GROUP BY aggregate_id
), structure AS (
    SELECT aggregate_id AS structure_id, arg_max(commune_code, aggregate_version) AS commune_code
    FROM StructureDescribed WHERE occurred_at <= getvariable('known_at') GROUP BY aggregate_id
)
SELECT
    programme_id, commune_code,
    CASE WHEN open AND seats.observed_at >= getvariable('known_at') - INTERVAL 30 DAY THEN seats.free_count ELSE 0 END AS free_count
FROM last JOIN structure USING (structure_id);

-- Pupils of a collège with an internship that stands, found by a campaign of that collège: no other fact on an internship says
-- which school its pupil is of. In a school year, that of the first week, each of them is once.
CREATE OR REPLACE TEMP TABLE known_internship AS
WITH told AS (
    SELECT application_id, aggregate_version, occurred_at, seeker_id, campaign_id, iso_weeks, true AS stands FROM ApplicationConfirmed
    UNION ALL BY NAME
    SELECT application_id, aggregate_version, occurred_at, seeker_id, false AS stands FROM ApplicationEnded
), last AS (
    SELECT
        application_id, seeker_id,
        arg_max(stands, aggregate_version) AS stands,
        arg_max(campaign_id, aggregate_version) FILTER (WHERE campaign_id IS NOT NULL) AS campaign_id,
        CAST(strptime(concat(list_min(arg_max(iso_weeks, aggregate_version) FILTER (WHERE iso_weeks IS NOT NULL)), '-1'), '%G-W%V-%u') AS DATE) AS begins_on
    FROM told WHERE occurred_at <= getvariable('known_at') GROUP BY ALL
), campaign AS (
    SELECT aggregate_id AS campaign_id, uai FROM CampaignOpened WHERE uai IS NOT NULL AND occurred_at <= getvariable('known_at')
)
SELECT
    seeker_id, uai, commune_code, priority, school_year_of(begins_on) AS school_year
FROM last JOIN campaign USING (campaign_id) JOIN school USING (uai) WHERE stands
QUALIFY row_number() OVER (PARTITION BY seeker_id, school_year ORDER BY begins_on, application_id) = 1;

-- Groups of a collège that are registered for an event, each once for all its sessions of it, in the school year in which these begin.
-- After a restored database a session says which registrations it has: the others are gone.
CREATE OR REPLACE TEMP TABLE known_group AS
WITH made AS (
    SELECT aggregate_id, aggregate_version, registration_id, party_id, school_uai AS uai, seat_count, true AS stands
    FROM RegistrationMade WHERE party_kind = 'GROUP' AND school_uai IS NOT NULL AND occurred_at <= getvariable('known_at')
), told AS (
    FROM made
    UNION ALL BY NAME
    SELECT aggregate_id, aggregate_version, registration_id, seat_count FROM RegistrationResized WHERE occurred_at <= getvariable('known_at')
    UNION ALL BY NAME
    SELECT aggregate_id, aggregate_version, registration_id, false AS stands FROM RegistrationEnded WHERE occurred_at <= getvariable('known_at')
    UNION ALL BY NAME
    SELECT r.aggregate_id, r.aggregate_version, made.registration_id, false AS stands
    FROM RegistrationsRestated r JOIN made USING (aggregate_id)
    WHERE r.occurred_at <= getvariable('known_at') AND NOT list_contains(r.registration_ids, made.registration_id)
), last AS (
    SELECT
        aggregate_id AS session_id, registration_id,
        any_value(party_id) AS party_id,
        any_value(uai) AS uai,
        arg_max(seat_count, aggregate_version) FILTER (WHERE seat_count IS NOT NULL) AS seat_count,
        arg_max(stands, aggregate_version) FILTER (WHERE stands IS NOT NULL) AS stands
    FROM told GROUP BY aggregate_id, registration_id
), session AS (
    SELECT
        aggregate_id AS session_id,
        school_year_of(CAST(timezone('Europe/Paris', arg_max(starts_at, aggregate_version)) AS DATE)) AS school_year
    FROM SessionDescribed WHERE occurred_at <= getvariable('known_at') GROUP BY aggregate_id
)
SELECT party_id, school_year, uai, commune_code, priority, max(seat_count) AS people
FROM last JOIN session USING (session_id) JOIN school USING (uai)
WHERE stands AND session_id NOT IN (SELECT aggregate_id FROM SessionCancelled WHERE occurred_at <= getvariable('known_at'))
GROUP BY ALL;

-- Who told of whom, where a fact says it: a school subtracts its own pupils, as whoever reported a case subtracts that.
CREATE OR REPLACE TEMP TABLE teller AS
SELECT seeker_id AS subject_id, uai AS organisation FROM known_internship
UNION
SELECT party_id, uai FROM known_group;
