"""ML scheduling (pack scheduling-worker): recommendations, their confidence, inference and training time, by model."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import Query, heatmap, increase, mean, quantile, rate, total

GIVEN = "scheduling_ml_recommendations_total"
CONFIDENCE = "scheduling_ml_recommendation_confidence"
INFERENCE = "scheduling_ml_model_inference_duration_seconds"
TRAINING = "scheduling_ml_training_duration_seconds"
MODEL = "{{model_version}}"


def now() -> list[Any]:
    """Numbers of the last day."""
    return [
        p.number(
            "Recommendations, 24 h",
            "Recommendations that the models gave within 24 hours.",
            "short",
            Query(total(increase(GIVEN, over="24h")), "given"),
            size=(6, 4),
        ),
        p.number(
            "Mean confidence, 24 h",
            "Mean confidence of the recommendations of 24 hours, 0 to 1.",
            "percentunit",
            Query(mean(CONFIDENCE, over="24h"), "confidence"),
            steps=((None, p.BAD), (0.5, p.WARN), (0.7, p.GOOD)),
            decimals=1,
            size=(6, 4),
        ),
        p.number(
            "Inference, 95th percentile",
            "One recommendation in twenty takes a model longer.",
            "s",
            Query(quantile(0.95, INFERENCE), "p95"),
            size=(6, 4),
        ),
        p.number(
            "Trainings, 24 h",
            "Trainings of models that ended within 24 hours.",
            "short",
            Query(total(increase(f"{TRAINING}_count", over="24h")), "trainings"),
            decimals=0,
            size=(6, 4),
        ),
    ]


def models() -> list[Any]:
    """Each version of the model."""
    return [
        p.graph(
            "Recommendations by model",
            "Recommendations in a second, by the version of the model that gave them.",
            "ops",
            Query(total(rate(GIVEN), "model_version"), MODEL),
            stack=True,
        ),
        p.graph(
            "Mean confidence by model",
            "Mean confidence within the hour before, by version. A new version that is less sure stands out.",
            "percentunit",
            Query(mean(CONFIDENCE, "model_version", over="1h"), MODEL),
            top=1,
        ),
        p.spread(
            "Spread of confidence",
            "How many recommendations had which confidence.",
            "percentunit",
            heatmap(CONFIDENCE),
            scheme="Greens",
        ),
        p.graph(
            "Inference time by model",
            "95th percentile of the time that a model took for a recommendation, by version.",
            "s",
            Query(quantile(0.95, INFERENCE, "model_version"), MODEL),
        ),
        p.listing(
            "Models",
            "Of each version within 7 days: recommendations, mean confidence, mean time.",
            [
                p.Column("model_version", "Model"),
                p.Column("Value #A", "Recommendations", unit="locale", decimals=0, width=185),
                p.Column("Value #B", "Mean confidence", unit="percentunit", decimals=1, width=185),
                p.Column("Value #C", "Mean time", unit="s", width=140),
            ],
            Query(total(increase(GIVEN, over="7d"), "model_version")).table("A"),
            Query(mean(CONFIDENCE, "model_version", over="7d")).table("B"),
            Query(mean(INFERENCE, "model_version", over="7d")).table("C"),
            sort="Recommendations",
            size=(12, 8),
        ),
        p.spread(
            "Spread of inference times", "How many recommendations took a model how long.", "s", heatmap(INFERENCE)
        ),
    ]


def training() -> list[Any]:
    """Training."""
    return [
        p.graph(
            "Training time",
            "Mean duration of the trainings of the 24 hours before, by model.",
            "s",
            Query(mean(TRAINING, "model", over="24h"), "{{model}}"),
        ),
        p.graph(
            "Trainings",
            "Trainings that ended within the 24 hours before, by model.",
            "short",
            Query(total(increase(f"{TRAINING}_count", over="24h"), "model"), "{{model}}"),
            decimals=0,
        ),
    ]


def build() -> Frame:
    """The frame with its rows."""
    return Frame(
        name="ml",
        title="ML scheduling",
        description="Recommendations of the models, their confidence and cost, from the pack scheduling-worker.",
        rows=[("Now", now()), ("Models", models()), ("Training", training())],
        source=GIVEN,
        since="now-24h",
        runbooks=False,
    )
