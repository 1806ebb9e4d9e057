{#- Whether a ticket complains of the service: not a question about a bill, not a wish. -#}
{% macro is_complaint(ticket_type) -%}
    {{ ticket_type }} in ('complaint', 'missed_pickup', 'damage', 'contamination_dispute')
{%- endmacro %}


{#- A survey answer on one scale for both kinds, 0 to 100: csat runs from 1 to 5, nps from 0 to 10. -#}
{% macro satisfaction_score(survey_type, score) -%}
    case {{ survey_type }} when 'csat' then ({{ score }} - 1) * 25 else {{ score }} * 10 end
{%- endmacro %}


{#- Where an amount due on `due_date` stands on `day` in AR aging: 0 current, then 1 (1-30 days late), 2 (31-60),
    3 (61-90), 4 (over 90). -#}
{% macro aging_bucket(day, due_date) -%}
    case
        when {{ day }} <= {{ due_date }} then 0
        else least(({{ day }} - {{ due_date }} - 1) / 30 + 1, 4)
    end
{%- endmacro %}
