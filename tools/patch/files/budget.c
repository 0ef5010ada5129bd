/* budget.c: how much code may be in memory at once. */
#include "budget.h"

#include <pthread.h>

#define BUDGET (UINT64_C(64) << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t given_back = PTHREAD_COND_INITIALIZER;
static uint64_t taken;

void budget_take(uint64_t size)
{
    pthread_mutex_lock(&lock);
    while (taken && (taken >= BUDGET || size > BUDGET - taken))
        pthread_cond_wait(&given_back, &lock);
    taken += size;
    pthread_mutex_unlock(&lock);
}

void budget_give_back(uint64_t size)
{
    pthread_mutex_lock(&lock);
    taken -= size;
    pthread_cond_broadcast(&given_back);
    pthread_mutex_unlock(&lock);
}
