"""All questions that can be asked of the scheduler without changing anything, under one name."""

from scheduler.service.cluster_queries import Metric as Metric
from scheduler.service.cluster_queries import cron as cron
from scheduler.service.cluster_queries import hosts as hosts
from scheduler.service.cluster_queries import maintenance as maintenance
from scheduler.service.cluster_queries import offers as offers
from scheduler.service.cluster_queries import quota as quota
from scheduler.service.cluster_queries import quotas as quotas
from scheduler.service.cluster_queries import tiers as tiers
from scheduler.service.cluster_queries import totals as totals
from scheduler.service.cluster_queries import utilization as utilization
from scheduler.service.job_queries import job as job
from scheduler.service.job_queries import jobs as jobs
from scheduler.service.job_queries import roles as roles
from scheduler.service.pages import Page as Page
from scheduler.service.task_queries import TasksAsked as TasksAsked
from scheduler.service.task_queries import task as task
from scheduler.service.task_queries import tasks as tasks
from scheduler.service.waiting_queries import pending_tasks as pending_tasks
from scheduler.service.waiting_queries import state as state
