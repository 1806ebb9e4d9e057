{#- Condition: is the row's day one of those this build replaces? For `where` in models materialized as business_days.

    Filter every input with it: a build of one day then reads one day, however long the history. -#}
{% macro in_rebuilt_days(day) -%}
    {%- do check_has_business_days() -%}
    {{- days_condition(day, rebuild_plan()) -}}
{%- endmacro %}


{#- First day this build replaces, as a date; '-infinity' in a full build. -#}
{% macro first_rebuilt_day() -%}
    {%- do check_has_business_days() -%}
    {%- set plan = rebuild_plan() -%}
    date '{{ {'full': '-infinity', 'nothing': 'infinity'}.get(plan.kind, plan.first) }}'
{%- endmacro %}


{#- Last day this build replaces, as a date; 'infinity' in a full build and where all days from the first on are replaced. -#}
{% macro last_rebuilt_day() -%}
    {%- do check_has_business_days() -%}
    {%- set plan = rebuild_plan() -%}
    {%- if plan.kind == 'days' and not config.get('running', false) -%}
        date '{{ plan.days[-1] }}'
    {%- elif plan.kind == 'nothing' -%}
        date '-infinity'
    {%- else -%}
        date 'infinity'
    {%- endif -%}
{%- endmacro %}


{#- Whether this build makes the whole table. Put no ref() inside a branch on it: parsing sees only the full build. -#}
{% macro is_full_build() %}
    {%- do check_has_business_days() -%}
    {%- do return(rebuild_plan().kind == 'full') -%}
{% endmacro %}


{#- Parsing and unit tests are full builds of any model; elsewhere only business_days models have days. -#}
{% macro check_has_business_days() %}
    {%- if execute and model.resource_type != 'unit_test' and config.get('materialized') != 'business_days' -%}
        {%- do exceptions.raise_compiler_error(
            model.name ~ ': in_rebuilt_days, first_rebuilt_day, last_rebuilt_day and is_full_build belong in models '
            ~ 'materialized as business_days; a view or an ephemeral model is made once for all that read it.'
        ) -%}
    {%- endif -%}
{% endmacro %}


{#- The plan as a condition on a date expression: ranges of literal dates, so that partitions and BRIN blocks are skipped. -#}
{% macro days_condition(day, plan) -%}
    {%- if plan.kind == 'full' -%}
        true
    {%- elif plan.kind == 'nothing' -%}
        false
    {%- elif config.get('running', false) -%}
        {{ day }} >= date '{{ plan.first }}'
    {%- else -%}
        {%- set ranges = day_ranges(plan.days) -%}
        {%- if ranges | length == 1 -%}
            {{ day }} between date '{{ ranges[0][0] }}' and date '{{ ranges[0][1] }}'
        {%- elif ranges | length <= 40 -%}
            (
            {%- for first, last in ranges -%}
                {{ day }} between date '{{ first }}' and date '{{ last }}'{{ ' or ' if not loop.last }}
            {%- endfor -%}
            )
        {%- else -%}
            ({{ day }} between date '{{ plan.days[0] }}' and date '{{ plan.days[-1] }}'
            and {{ day }} = any('{ {{- plan.days | join(',') -}} }'::date[]))
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{#- Sorted days as a list of [first, last] of consecutive ones. -#}
{% macro day_ranges(days) %}
    {%- set ranges = [] -%}
    {%- set date = modules.datetime.date -%}
    {%- for day in days -%}
        {%- if ranges and date.fromisoformat(day).toordinal() == date.fromisoformat(ranges[-1][1]).toordinal() + 1 -%}
            {%- do ranges.append([ranges.pop()[0], day]) -%}
        {%- else -%}
            {%- do ranges.append([day, day]) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do return(ranges) -%}
{% endmacro %}
